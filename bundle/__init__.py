"""The contract between training, index_builder and service: see SPEC.md."""
