"""Accepts documents over HTTP, parses and cuts them."""
