"""Sites of a network, what may stand in for them, and how they are intercepted."""
