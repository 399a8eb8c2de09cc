"""HTTP push: scanners that post one JSON object per passage."""
