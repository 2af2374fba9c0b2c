"""What each command does: it calls, prints what is to be said, and returns the exit status.

Each is imported when it is called for, and brings no more than it needs: cron starts many.
"""
