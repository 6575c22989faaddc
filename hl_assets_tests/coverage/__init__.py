"""Tests of slot coverage: classification, gaps, vocabularies."""
