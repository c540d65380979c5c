raise ZeroDivisionError("as it is imported")
