"""Mutation testing of `connector/core`: which small changes of its code does no test of tests/core notice?"""
