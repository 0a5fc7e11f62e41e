from streamapp.cli.topics import read_service_state, write_service_state  # noqa
