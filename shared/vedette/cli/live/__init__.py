"""`vedette top`: the current fleet, kept up to date by events, on a screen or in one line."""
