"""HTTP: what comes in at the door, and the answer that goes out."""
