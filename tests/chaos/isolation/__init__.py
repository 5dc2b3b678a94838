"""Tenants, attacked: who may see what, asked in every way that there is, and what others hold told apart from nothing."""
