"""Traffic scenarios along a route, in the Leaderboard's file format, played with the client API alone: `spec` is what a
file says, `catalogue` knows every type, `engine` plays them."""
