"""What is asked, and the front door: the sweep language, the search, the run and the command line."""
