"""The project as a whole: what rows of params.yaml say of each other is checked here alone."""
