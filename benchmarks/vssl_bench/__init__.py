"""The benchmark harness and the leaderboard: suites, plans, runs, statistics and boards."""
