"""What is kept on disk: results as folders, stores of them, and recordings."""
