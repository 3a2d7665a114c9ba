"""What happened: the record of builds."""
