"""Everything that parses what others wrote, at the mercy of a fuzzer. ``scripts/fuzz`` runs it; its corpora lie beside this file."""
