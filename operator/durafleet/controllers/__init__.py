"""The loops: observe, plan (core), act, write the status if it changed."""
