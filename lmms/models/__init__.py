"""Back ends: everything that answers requests, behind one protocol."""
