"""Item banks from answers: the fit, what it says of subjects and items, and its page."""
