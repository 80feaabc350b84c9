"""What was answered: the journal of a run, its reader, and files that exist whole or not at all."""
