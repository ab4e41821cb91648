"""A daemon under steady load for long: what grows?"""
