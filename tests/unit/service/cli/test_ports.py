import os
import socket

from service.cli.stack.ports import Port, open_addresses


def test_a_taken_port_is_reported_with_its_process_and_setting() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = Port(holder.getsockname()[1], "TET_API_PORT")
        assert not port.is_free()
        assert not Port(port.number, "TET_RAY_GCS_PORT", "0.0.0.0").is_free()
        complaint = port.complaint()
    assert complaint.startswith(f"port {port.number} is taken by process {os.getpid()} (")
    assert complaint.endswith("free it, or set TET_API_PORT to another port")


def test_a_port_just_used_is_free_again() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server does
        server.bind(("127.0.0.1", 0))
        server.listen()
        number = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", number)):
            server.accept()[0].close()  # the side that closes first stays in TIME_WAIT
    assert Port(number, "TET_API_PORT").is_free()


def test_a_port_that_other_machines_may_reach_differs_from_one_on_loopback() -> None:
    for host, addresses in (("127.0.0.1", []), ("0.0.0.0", ["every address"])):
        with socket.socket() as server:
            server.bind((host, 0))
            assert open_addresses(server.getsockname()[1]) == [], "nothing listens yet"
            server.listen()
            assert open_addresses(server.getsockname()[1]) == addresses
