"""What happens, told live: channels of events for browsers, agents and the command line."""
