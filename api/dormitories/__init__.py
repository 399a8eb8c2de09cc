"""Dormitories: tariffs, what rooms used, their bills, their state, and cases of forbidden loads."""
