"""One file a contender, each importing one library: a process loads only its own."""
