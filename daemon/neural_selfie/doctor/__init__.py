"""What is wrong, and how to mend it: `examining` looks at each thing that the daemon needs. Nothing is loaded here.

Whatever may lie on a share is looked at in a process of its own with a deadline, and torch is loaded in one, too: those
processes load only what they look with.
"""
