"""What is kept of users under their id: features, and the items they have seen."""
