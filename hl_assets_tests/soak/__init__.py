"""The soak: many virtual slots through the real job under faults and kills, and the audit of what is stored afterwards."""
