"""Names of the files of a plan in a job's folder."""

PLAN_FILE = "plan.yaml"
"""Plan that came with the film, or was approved: it is obeyed."""
NEW_PLAN_FILE = "new-plan.yaml"
"""Plan that a worker has made."""
NEW_SHEET_FILE = "plan.jpg"
"""Contact sheet of it; see ``erasecore.planning.film_plan.SHEET``."""
