"""How fast, how late and how large: each module asks one question and prints the goal beside the figure."""
