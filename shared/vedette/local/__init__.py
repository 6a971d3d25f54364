"""Files of this machine: state directories, agents of a private server, the installation."""
