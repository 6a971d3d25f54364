"""What goes over the wire: events, queries, subjects, and the catalogue that events fold into. Pure."""
