"""How Gatehouse comes to where it runs: containers, the offline bundle, and what is looked at before a release."""
