"""How well detectors find what labelled data hold."""
