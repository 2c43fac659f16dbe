"""Bad days, injected into real runs: what readers see stays as it was, and the refusal says why."""
