"""What is given: frozen, validated problems and their parametrisations.  Nothing is solved here."""
