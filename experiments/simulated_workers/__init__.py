"""Workers that train blocks in simulated time, with the leases of jinit on a simulated disk."""
