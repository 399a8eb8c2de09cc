"""HJ 212: reports to an environmental authority."""
