"""One function a fault, named by its number: what is injected, under which traffic, what must hold."""
