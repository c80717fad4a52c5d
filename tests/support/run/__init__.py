"""Programs of the tests: started, waited for, ended."""
