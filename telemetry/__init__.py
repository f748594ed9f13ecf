"""What every role says about itself: logs. Imports no other room."""
