"""Documents for people: what is in one is data (`document`); `pdf` and `xlsx` make bytes of it."""
