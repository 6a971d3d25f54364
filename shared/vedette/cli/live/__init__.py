"""What `vedette top` shows: the fleet as it is known now, kept current by events, on a screen or in a line."""
