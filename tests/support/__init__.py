"""What tests start and put between: real programs, real services, a faulty wire."""
