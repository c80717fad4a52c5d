"""Answer what operators and pages ask of the controller, and carry out what operators order."""
