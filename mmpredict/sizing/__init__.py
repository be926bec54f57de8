"""Will it fit: from names of models, a machine and a server's options to an estimate of memory."""
