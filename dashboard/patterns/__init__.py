"""What fires together: prototypes, distances and their map, the conjecture."""
