"""SQL memory: two agents that write SQL over one table of facts, which the user can see and correct."""
