"""Being told: events of films and of the queue, and the messages about them.

The daemon, which has no network, writes events as files (``events``). A process of its own, the
command ``notify`` (``notifier``), takes them into its outbox and tells the receivers.
"""
