"""What tests of a running system share: worker processes, posts published and topics read by independent clients."""
